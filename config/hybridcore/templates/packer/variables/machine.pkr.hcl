variable "disk_gib" {
  type    = number
  default = 20
}

variable "iso_checksum" {
  type = string
}

variable "iso_url" {
  type = string
}

variable "memory_mib" {
  type    = number
  default = 2048
}

variable "network_bridge" {
  type    = string
  default = "vmbr0"
}

variable "network_mtu" {
  type    = number
  default = 1500
}

variable "ssh_password" {
  type      = string
  sensitive = true
}

variable "ssh_username" {
  type = string
}

variable "vcpus" {
  type    = number
  default = 2
}
