source "azure-arm" "linux-debian-12" {
  client_id       = var.azure_client_id
  client_secret   = var.azure_client_secret
  subscription_id = var.azure_subscription_id

  location                          = var.azure_location
  managed_image_name                = "${var.image_name}-${var.image_version}"
  managed_image_resource_group_name = var.azure_resource_group

  image_publisher = "Debian"
  image_offer     = "debian-12"
  image_sku       = "12-gen2"
  os_type         = "Linux"
  azure_tags      = var.image_labels
}
