variable "azure_client_id" {
  type = string
}

variable "azure_client_secret" {
  type      = string
  sensitive = true
}

variable "azure_location" {
  type = string
}

variable "azure_resource_group" {
  type = string
}

variable "azure_subscription_id" {
  type = string
}
