iso_checksum     = "sha256:ee8d8579128977d7dc39d48f43aec5ab06b7f09e1f40a9d98f2a9d149221704a"
iso_url          = "https://cdimage.debian.org/cdimage/archive/12.7.0/amd64/iso-cd/debian-12.7.0-amd64-netinst.iso"
proxmox_token    = env("SWOOSH_PROXMOX_TOKEN")
proxmox_username = "swoosh@pve!packer"
ssh_password     = env("SWOOSH_BUILD_SSH_PASSWORD")
ssh_username     = "builder"
