build {
  sources = ["source.file.linux-image"]

  # swoosh: provisioners

  post-processor "manifest" {
    output      = var.swoosh_manifest
    custom_data = { run = var.swoosh_run }
  }
}
