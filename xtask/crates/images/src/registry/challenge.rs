//! What a registry demands before it answers: the header `WWW-Authenticate`.

use base::http::percent_encode;

/// What names of services and scopes have and a query may have as it is.
const KEPT: &[u8] = b":/";

/// One demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A user and a password.
    Basic,
    /// A token, to be had elsewhere.
    Bearer(Demand),
}

/// Where a token is to be had, and what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Demand {
    pub(super) realm: String,
    service: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// `Bearer realm="https://auth.docker.io/token",service="registry.docker.io"`. `None`: a way that is not known
    /// here.
    pub(super) fn parse(header: &str) -> Option<Self> {
        let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let parameters = parameters(rest);
        let named = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        Some(Self::Bearer(Demand { realm: named("realm")?, service: named("service"), scope: named("scope") }))
    }
}

impl Demand {
    /// The address with its question, whose scope is this one unless the registry has named another. `None` when it
    /// cannot be one.
    pub(super) fn url(&self, scope: &str) -> Option<String> {
        let graphic = self.realm.chars().all(|c| c.is_ascii_graphic() && !"\"\\#".contains(c));
        let separator = if self.realm.contains('?') { '&' } else { '?' };
        let service = self.service.as_ref().map(|service| format!("service={}&", percent_encode(service, KEPT)));
        let scope = percent_encode(self.scope.as_deref().unwrap_or(scope), KEPT);
        graphic.then(|| format!("{}{separator}{}scope={scope}", self.realm, service.unwrap_or_default()))
    }
}

/// `name="value",name=value`; a quoted value may hold commas, and anything behind a backslash.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut parameters = Vec::new();
    let mut letters = text.chars().peekable();
    while letters.peek().is_some() {
        let name: String = letters.by_ref().take_while(|c| *c != '=').collect();
        let quoted = letters.next_if_eq(&'"').is_some();
        let mut value = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '"' if quoted => break,
                '\\' if quoted => value.extend(letters.next()),
                ',' if !quoted => break,
                letter => value.push(letter),
            }
        }
        if quoted {
            // Up to the next parameter.
            letters.by_ref().take_while(|c| *c != ',').for_each(drop);
        }
        parameters.push((name.trim().to_ascii_lowercase(), value));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(header: &str) -> Option<String> {
        match Challenge::parse(header)? {
            Challenge::Basic => None,
            Challenge::Bearer(demand) => demand.url("repository:a/b:pull"),
        }
    }

    #[test]
    fn a_token_is_asked_for_where_the_registry_says() {
        assert_eq!(
            url("Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\",\
                 scope=\"repository:library/redis:pull,push\"")
            .unwrap(),
            "https://auth.docker.io/token?service=registry.docker.io&scope=repository:library/redis:pull%2Cpush"
        );
        assert_eq!(url("bearer realm=https://a/t").unwrap(), "https://a/t?scope=repository:a/b:pull");
        assert_eq!(
            url("Bearer service=\"a b\\\"c\" , realm=\"https://a/t?x=1\"").unwrap(),
            "https://a/t?x=1&service=a%20b%22c&scope=repository:a/b:pull"
        );
    }

    #[test]
    fn what_cannot_be_followed_is_no_demand() {
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        for header in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer realm=\"https://a/\nx\""] {
            assert_eq!(url(header), None, "{header}");
        }
    }
}
