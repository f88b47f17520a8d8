//! Which credentials are for which addresses.
//!
//! A credential is bound to the beginning of an address. Nothing else of a source counts, least of all its name, which a
//! project chooses.

use thiserror::Error;

use super::git::Credentials;
use swoosh_types::url_prefix::{PrefixError, UrlPrefix};

/// Credentials for https repositories. Held in memory only.
#[derive(Clone, Debug, Default)]
pub struct Wallet {
    /// Credentials with what they are bound to.
    pub bound: Vec<(UrlPrefix, Credentials)>,
}

/// A variable that an older version sent to every host, and its replacement.
pub const LEGACY_TOKEN: &str = "SWOOSH_GIT_TOKEN";
/// Names the prefix that the token of the environment is bound to.
pub const PREFIX_VARIABLE: &str = "SWOOSH_GIT_URL_PREFIX";
const USER_VARIABLE: &str = "SWOOSH_GIT_USER";

/// Why the environment's credentials cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum WalletError {
    /// The token is bound to nothing.
    #[error(
        "SWOOSH_GIT_TOKEN is set, and nothing says which host it is for; set SWOOSH_GIT_URL_PREFIX to the addresses that \
         may receive it, such as https://git.example/team, or take it out"
    )]
    Unbound,
    /// A token for one source by its name.
    #[error(
        "{0} is set, and a token is no longer bound to the name of a source; set SWOOSH_GIT_TOKEN and \
         SWOOSH_GIT_URL_PREFIX, or take it out"
    )]
    ByName(String),
    /// The prefix is none.
    #[error("SWOOSH_GIT_URL_PREFIX: {0}")]
    Prefix(#[from] PrefixError),
}

impl Wallet {
    /// From `SWOOSH_GIT_TOKEN`, `SWOOSH_GIT_USER` and `SWOOSH_GIT_URL_PREFIX`, for commands that work without a daemon.
    pub fn from_environment() -> Result<Wallet, WalletError> {
        Wallet::from_variables(std::env::vars_os().filter_map(|(name, value)| {
            let name = name.into_string().ok().filter(|name| name.starts_with("SWOOSH_GIT_"))?;
            Some((name, value.into_string().ok().filter(|value| !value.is_empty())?))
        }))
    }

    fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Result<Wallet, WalletError> {
        let (mut token, mut user, mut prefix) = (None, None, None);
        for (name, value) in variables {
            match name.as_str() {
                LEGACY_TOKEN => token = Some(value),
                USER_VARIABLE => user = Some(value),
                PREFIX_VARIABLE => prefix = Some(value),
                _ if name.starts_with(LEGACY_TOKEN) => return Err(WalletError::ByName(name)),
                _ => {}
            }
        }
        let Some(password) = token else { return Ok(Wallet::default()) };
        let prefix = prefix.ok_or(WalletError::Unbound)?.parse()?;
        let user = user.unwrap_or_else(|| "git".to_owned());
        Ok(Wallet { bound: vec![(prefix, Credentials { user, password })] })
    }

    /// Credentials for an address: of several that cover it, those with the longest prefix.
    pub fn for_address(&self, url: &str) -> Option<&Credentials> {
        let covering = self.bound.iter().filter(|(prefix, _)| prefix.covers(url));
        covering.max_by_key(|(prefix, _)| prefix.depth()).map(|(_, credentials)| credentials)
    }

    /// All passwords, for redaction.
    pub fn secrets(&self) -> Vec<String> {
        self.bound.iter().map(|(_, credentials)| credentials.password.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> UrlPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn of_several_prefixes_the_longest_counts_and_without_one_there_is_nothing() {
        let credentials = |password: &str| Credentials { user: "git".into(), password: password.into() };
        let bound = [("https://h", "host"), ("https://h/team", "team"), ("https://h/team/app", "app")];
        let wallet = Wallet { bound: bound.map(|(url, token)| (prefix(url), credentials(token))).into() };
        let for_address = |url: &str| wallet.for_address(url).map(|found| found.password.as_str());
        assert_eq!(for_address("https://h/team/app"), Some("app"));
        assert_eq!(for_address("https://h/team/lib"), Some("team"));
        assert_eq!(for_address("https://h/other"), Some("host"));
        assert_eq!(for_address("https://elsewhere/team/app"), None);
    }

    /// The token was sent to whatever host a project named.
    #[test]
    fn a_token_of_the_environment_without_a_prefix_is_refused() {
        let from = |variables: &[(&str, &str)]| {
            let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            Wallet::from_variables(variables.iter().map(own))
        };
        assert!(from(&[]).unwrap().bound.is_empty());
        assert_eq!(from(&[("SWOOSH_GIT_TOKEN", "t")]).unwrap_err(), WalletError::Unbound);
        let by_name = from(&[("SWOOSH_GIT_TOKEN_AZURE", "t"), ("SWOOSH_GIT_URL_PREFIX", "https://h")]);
        assert!(matches!(by_name, Err(WalletError::ByName(_))));
        let prefix = from(&[("SWOOSH_GIT_TOKEN", "t"), ("SWOOSH_GIT_URL_PREFIX", "h")]);
        assert!(matches!(prefix, Err(WalletError::Prefix(PrefixError::Scheme))));
        let bound = from(&[("SWOOSH_GIT_TOKEN", "t"), ("SWOOSH_GIT_URL_PREFIX", "https://h/a")]).unwrap();
        assert_eq!(bound.for_address("https://h/a/b").map(|found| found.user.as_str()), Some("git"));
    }
}
