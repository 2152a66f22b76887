//! As whom a public image runs: a number other than root's, which the image or the spec has to name.

use base::error::Fault;
use model::container::User;
use model::image::ImagePin;
use model::name::ServiceName;

/// Whether what an image says as `USER` will do for the services that name none themselves. Root, or a name that only
/// the image could resolve, would show much later and not by its cause.
///
/// # Errors
/// `image-user`, with the setting that mends it.
pub fn check_user(pin: &ImagePin, user: &str, services: &[ServiceName]) -> Result<(), Fault> {
    check(&pin.to_string(), user, services)
}

/// The same for an image of any name.
pub(super) fn check(image: &str, user: &str, services: &[ServiceName]) -> Result<(), Fault> {
    let Some(first) = services.first() else { return Ok(()) };
    if user.parse::<User>().is_ok() {
        return Ok(());
    }
    let user = if user.is_empty() { "root" } else { user };
    let names: Vec<_> = services.iter().map(|service| format!("`{service}`")).collect();
    let cause = format!("`{image}` runs as `{user}`, and {} names no other user", names.join(", "));
    let hint = format!("name a numeric one: `[services.{}.container]` with `user = \"65532\"`", first.local());
    Err(Fault::failed("image-user", cause).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_and_names_are_refused_with_the_setting_that_mends_it() {
        let pin: ImagePin = "docker.io/a/b:1".parse().unwrap();
        let services: [ServiceName; 1] = ["web".parse().unwrap()];
        for (user, said) in [("", "root"), ("nginx", "nginx"), ("0", "0"), ("nginx:101", "nginx:101")] {
            let fault = check_user(&pin, user, &services).unwrap_err();
            assert_eq!(fault.cause, format!("`docker.io/a/b:1` runs as `{said}`, and `web` names no other user"));
            assert!(fault.hint.is_some_and(|hint| hint.contains("[services.web.container]")));
            assert_eq!(check_user(&pin, user, &[]), Ok(()));
        }
        for user in ["65532", "101:102"] {
            assert_eq!(check_user(&pin, user, &services), Ok(()));
        }
    }
}
