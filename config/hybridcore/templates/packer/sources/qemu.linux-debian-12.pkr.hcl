source "qemu" "linux-debian-12" {
  iso_url          = var.iso_url
  iso_checksum     = var.iso_checksum
  output_directory = "${var.swoosh_output}/${var.image_name}-${var.image_version}"
  vm_name          = var.image_name
  format           = "qcow2"
  accelerator      = "kvm"
  headless         = true
  cpus             = var.vcpus
  memory           = var.memory_mib
  disk_size        = "${var.disk_gib}G"
  ssh_username     = var.ssh_username
  ssh_password     = var.ssh_password
  ssh_timeout      = "30m"
}
