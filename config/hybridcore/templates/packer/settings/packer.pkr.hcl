packer {
  required_version = ">= 1.6.6"
}
