provisioner "ansible" {
  playbook_file    = "${path.root}/${var.ansible_entry}"
  ansible_env_vars = ["ANSIBLE_CONFIG=${path.root}/${var.ansible_folder}/ansible.cfg"]
  extra_arguments  = ["--extra-vars", jsonencode({ base_packages = var.image_packages })]
}
