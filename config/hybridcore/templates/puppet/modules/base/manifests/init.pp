# @summary Packages that every image has.
class base {
  package { ['ca-certificates', 'openssh-server']:
    ensure => installed,
  }
}
