# A repository for each service. Tags are content keys, which never mean anything else.

resource "aws_ecr_repository" "service" {
  for_each = var.services

  name                 = "${local.name}/${each.value}"
  image_tag_mutability = "IMMUTABLE"
  # It has to be in the state before a destroy looks for it.
  force_delete = true

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "AES256"
  }
}

resource "aws_ecr_lifecycle_policy" "service" {
  for_each = var.services

  repository = aws_ecr_repository.service[each.value].name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "what no tag names, a day later"
        selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 1 }
        action       = { type = "expire" }
      },
      {
        rulePriority = 2
        description  = "all but the last twenty"
        selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 20 }
        action       = { type = "expire" }
      },
    ]
  })
}
