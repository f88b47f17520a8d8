azure_client_id       = var.azure_client_id
azure_client_secret   = var.azure_client_secret
azure_location        = var.azure_location
azure_resource_group  = var.azure_resource_group
azure_subscription_id = var.azure_subscription_id
