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

variable "network" {
  type    = any
  default = {}
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
