variable "puppet_enabled" {
  type    = bool
  default = false
}

variable "puppet_entry" {
  type        = string
  description = "The manifest, relative to this folder."
}

variable "puppet_folder" {
  type        = string
  description = "The folder of all assets, relative to this folder."
}

variable "puppet_version" {
  type = string
}
