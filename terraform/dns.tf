# The certificate of the domain, when Route 53 has its zone. The records of load balancers come later, with these.

locals {
  has_zone = var.domain != "" && var.hosted_zone != ""
}

resource "aws_acm_certificate" "domain" {
  count = local.has_zone ? 1 : 0

  domain_name               = var.domain
  subject_alternative_names = ["*.${var.domain}"]
  validation_method         = "DNS"

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_route53_record" "validation" {
  # Both names are proven by the same record.
  count = local.has_zone ? 1 : 0

  zone_id         = var.hosted_zone
  name            = tolist(aws_acm_certificate.domain[0].domain_validation_options)[0].resource_record_name
  type            = tolist(aws_acm_certificate.domain[0].domain_validation_options)[0].resource_record_type
  records         = [tolist(aws_acm_certificate.domain[0].domain_validation_options)[0].resource_record_value]
  ttl             = 60
  allow_overwrite = true
}

resource "aws_acm_certificate_validation" "domain" {
  count = local.has_zone ? 1 : 0

  certificate_arn         = aws_acm_certificate.domain[0].arn
  validation_record_fqdns = [aws_route53_record.validation[0].fqdn]
}
