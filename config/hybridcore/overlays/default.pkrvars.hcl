# Defaults. Later layers override them: platform, variant, environment, answers.
ansible_enabled = true
disk_gib        = 20
image_name      = "swoosh-base"
image_version   = "1.0.0"
memory_mib      = 2048
packages        = ["ca-certificates", "openssh-server"]
puppet_enabled  = false
vcpus           = 2

allocation = {}

labels = {
  managed_by = "swoosh"
}

network = {
  bridge = "vmbr0"
  dns    = ["192.0.2.53"]
  mtu    = 1500
}
