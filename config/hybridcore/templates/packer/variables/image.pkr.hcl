variable "image_name" {
  type = string
}

variable "image_version" {
  type = string
}

variable "image_allocation" {
  type    = map(number)
  default = {}
}

variable "image_description" {
  type    = string
  default = ""
}

variable "image_labels" {
  type    = map(string)
  default = {}
}

variable "image_packages" {
  type    = list(string)
  default = []
}
