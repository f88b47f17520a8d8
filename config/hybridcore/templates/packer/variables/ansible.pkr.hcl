variable "ansible_entry" {
  type        = string
  description = "The playbook, relative to this folder."
}

variable "ansible_folder" {
  type        = string
  description = "The folder of all assets, relative to this folder."
}

variable "ansible_version" {
  type = string
}
