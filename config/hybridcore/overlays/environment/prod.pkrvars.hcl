memory_mib = 4096
vcpus      = 4

labels = {
  environment = "prod"
}

network = {
  mtu = 9000
}
