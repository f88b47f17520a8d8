# Which packer variable gets which value. var.NAME is what the layers gave, build.NAME what is built.
image_allocation  = var.allocation
image_description = "${var.image_name} ${var.image_version} (${build.os}, ${build.environment})"
image_labels      = var.labels
image_name        = build.variant == "" ? var.image_name : "${var.image_name}-${build.variant}"
image_packages    = var.packages
image_version     = var.image_version
