locals {
  labels = [for name, value in var.image_labels : "${name}=${value}"]

  allocation = [for name, amount in var.image_allocation : "${name}=${amount}"]
}
