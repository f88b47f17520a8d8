source "proxmox-iso" "linux-debian-12" {
  proxmox_url = var.proxmox_url
  username    = var.proxmox_username
  password    = var.proxmox_password
  node        = var.proxmox_node

  iso_url          = var.iso_url
  iso_checksum     = var.iso_checksum
  iso_storage_pool = "local"
  unmount_iso      = true

  vm_name              = var.image_name
  template_description = var.image_description
  cores                = var.vcpus
  memory               = var.memory_mib
  os                   = "l26"
  qemu_agent           = true
  scsi_controller      = "virtio-scsi-single"

  disks {
    disk_size         = "${var.disk_gib}G"
    format            = "raw"
    storage_pool      = "local-lvm"
    storage_pool_type = "lvm-thin"
    type              = "scsi"
  }

  network_adapters {
    bridge = var.network_bridge
    model  = "virtio"
  }

  ssh_username = var.ssh_username
  ssh_password = var.ssh_password
  ssh_timeout  = "30m"
}
