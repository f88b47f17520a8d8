proxmox_node     = var.proxmox_node
proxmox_token    = var.proxmox_token
proxmox_url      = var.proxmox_url
proxmox_username = var.proxmox_username
