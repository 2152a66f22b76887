# Somebody is told before the month becomes expensive.

resource "aws_budgets_budget" "month" {
  count = var.budget_usd > 0 ? 1 : 0

  name         = local.name
  budget_type  = "COST"
  limit_amount = tostring(var.budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  # The tag has to be activated for cost allocation once in the account.
  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:deployment_id$%s", var.deployment_id)]
  }

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }

    content {
      comparison_operator        = "GREATER_THAN"
      notification_type          = notification.key
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = var.alert_emails
    }
  }
}
