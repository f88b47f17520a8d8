# Give iso_url and iso_checksum of the installer that you trust, proxmox_url and proxmox_node, in an environment's overlay.
proxmox_password = env("SWOOSH_PROXMOX_PASSWORD")
proxmox_username = "swoosh@pve"
ssh_password     = env("SWOOSH_BUILD_SSH_PASSWORD")
ssh_username     = "builder"
