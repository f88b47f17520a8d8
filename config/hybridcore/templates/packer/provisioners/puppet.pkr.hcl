provisioner "puppet-masterless" {
  manifest_file = "${path.root}/${var.puppet_entry}"
  module_paths  = ["${path.root}/${var.puppet_folder}/modules"]
}
