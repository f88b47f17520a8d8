disk_gib     = var.disk_gib
iso_checksum = var.iso_checksum
iso_url      = var.iso_url
memory_mib   = var.memory_mib
network      = var.network
ssh_password = var.ssh_password
ssh_username = var.ssh_username
vcpus        = var.vcpus
