build {
  sources = ["source.null.linux-check"]

  # swoosh: provisioners

  provisioner "shell-local" {
    inline = ["printf '%s\\n' 'checked ${var.image_name} ${var.image_version}: ${join(", ", local.labels)}'"]
  }

  post-processor "manifest" {
    output      = var.swoosh_manifest
    custom_data = { run = var.swoosh_run }
  }
}
