//! Which names say that what goes by them is a secret.

/// Words that tell a secret wherever they stand.
pub(super) const TELLING: [&str; 9] =
    ["password", "passwd", "passphrase", "secret", "token", "credential", "apikey", "requirepass", "authorization"];
/// The same in a name, without what parts its words.
const JOINED: [&str; 4] = ["accesskey", "privatekey", "connectionstring", "connstr"];
/// Only as a word of a name: `STRIPE_KEY` and `signingKey`, not `KEYBOARD` and `MONKEY`.
const WORDS: [&str; 21] = [
    "pass", "pwd", "pw", "pin", "key", "keys", "auth", "dsn", "private", "creds", "cred", "jwt", "bearer", "cookie",
    "salt", "hmac", "pat", "otp", "pem", "webhook", "seed",
];
/// Names that people write in one word.
const ENDINGS: [&str; 4] = ["dbpass", "dbpwd", "userpass", "sqlpass"];
/// Together with one of these even a key is nothing to hide.
const PUBLIC: [&str; 4] = ["public", "pub", "publickey", "pubkey"];
/// Where the shell is and was.
const FOLDERS: [&str; 2] = ["pwd", "oldpwd"];

/// Whether the name of a variable or a setting says that its value is a secret.
pub fn is_name(text: &str) -> bool {
    let words = words(text);
    let joined = words.concat();
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if FOLDERS.contains(&joined.as_str()) || has(&PUBLIC) {
        return false;
    }
    let plain = text.to_lowercase().replace(|c: char| !c.is_alphanumeric(), "");
    TELLING.iter().chain(&JOINED).any(|name| plain.contains(name))
        || ENDINGS.iter().any(|ending| plain.ends_with(ending))
        || has(&WORDS)
}

/// `DB_PASS`, `db-pass`, `dbPass`: the words of a name, in lower case.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for letter in text.chars() {
        if !letter.is_alphanumeric() || (was_lower && letter.is_uppercase()) {
            words.push(String::new());
        }
        was_lower = letter.is_lowercase() || letter.is_numeric();
        if let (true, Some(word)) = (letter.is_alphanumeric(), words.last_mut()) {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn a_name_tells_a_secret_by_its_words() {
        for name in [
            "PASSWORD",
            "DB_PASS",
            "PGPASSWORD",
            "MYSQL_PWD",
            "DBPASS",
            "STRIPE_KEY",
            "API_KEY",
            "apiKey",
            "APIKEY",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_ACCESS_KEY_ID",
            "GITHUB_TOKEN",
            "ACCESS_TOKENS",
            "SENTRY_DSN",
            "BASIC_AUTH",
            "PRIVATE_PEM",
            "PASSPHRASE",
            "SIGNING_KEYS",
            "GOOGLE_CREDENTIALS",
            "SESSION_SECRET",
            "db-password",
            "SLACK_WEBHOOK",
        ] {
            assert!(is_name(name), "{name}");
        }
        for name in [
            "PUBLIC_KEY",
            "SSH_PUBKEY",
            "KEYBOARD",
            "MONKEY",
            "AUTHOR",
            "GIT_AUTHOR_NAME",
            "PWD",
            "OLDPWD",
            "COMPASS",
            "BYPASS",
            "PASSENGERS",
            "LOG",
            "KEYSPACE",
            "TURKEY",
            "PASSIVE",
            "DATABASE_URL",
            "PATH",
            "SPINNER",
        ] {
            assert!(!is_name(name), "{name}");
        }
    }
}
