locals {
  labels = [for name, value in var.image_labels : "${name}=${value}"]
}
