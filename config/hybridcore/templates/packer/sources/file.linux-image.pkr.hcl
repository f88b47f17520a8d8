source "file" "linux-image" {
  target  = "${var.swoosh_output}/${var.image_name}-${var.image_version}.txt"
  content = <<EOT
name: ${var.image_name}
version: ${var.image_version}
description: ${var.image_description}
labels: ${join(", ", local.labels)}
packages: ${join(", ", var.image_packages)}
allocation: ${join(", ", local.allocation)}
ansible: ${var.ansible_enabled}
EOT
}
