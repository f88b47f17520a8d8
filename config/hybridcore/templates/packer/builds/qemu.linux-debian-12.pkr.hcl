build {
  sources = ["source.qemu.linux-debian-12"]

  # swoosh: provisioners

  post-processor "manifest" {
    output      = var.swoosh_manifest
    custom_data = { run = var.swoosh_run }
  }
}
