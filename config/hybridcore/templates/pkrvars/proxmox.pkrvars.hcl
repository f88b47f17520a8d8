proxmox_node     = var.proxmox_node
proxmox_password = var.proxmox_password
proxmox_url      = var.proxmox_url
proxmox_username = var.proxmox_username
