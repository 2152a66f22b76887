//! What the chart prints, taken apart: a text for each object. It stays the chart's own text but for what differs from
//! Helm to Helm, which is around the objects and not in them.

use serde_json::Value;

/// An object as YAML.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) text: String,
}

impl Object {
    /// One that is not the chart's.
    pub(super) fn of(object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { kind: text("/kind"), name: text("/metadata/name"), text: super::yaml::of(object) }
    }

    /// `deployment-epoch.yaml`
    pub(super) fn file(&self) -> String {
        format!("{}-{}.yaml", self.kind.to_lowercase(), self.name)
    }
}

/// The objects in what Helm prints, by kind and name, each with the namespace that it is for.
///
/// # Errors
/// Why it cannot be taken apart.
pub(super) fn parse(printed: &str, namespace: &str) -> Result<Vec<Object>, String> {
    let mut documents = vec![Vec::new()];
    for line in printed.lines() {
        match documents.last_mut() {
            Some(document) if line != "---" => document.push(line),
            _ => documents.push(Vec::new()),
        }
    }
    let mut objects = Vec::new();
    for document in documents {
        objects.extend(object(&document, namespace)?);
    }
    objects.sort_by(|one, other| (&one.kind, &one.name).cmp(&(&other.kind, &other.name)));
    match objects.windows(2).find(|pair| pair[0].file() == pair[1].file()) {
        Some(pair) => Err(format!("{} `{}` is there twice", pair[0].kind, pair[0].name)),
        None => Ok(objects),
    }
}

/// `None` for a document with nothing in it, as a template leaves that has nothing to say.
fn object(document: &[&str], namespace: &str) -> Result<Option<Object>, String> {
    let is_said = |line: &&&str| !line.trim().is_empty() && !line.starts_with('#');
    if document.iter().find(is_said).is_none() {
        return Ok(None);
    }
    let lines = document.iter().copied().filter(|line| !line.starts_with("# Source: "));
    let lines: Vec<&str> = lines.skip_while(|line| line.trim().is_empty()).collect();
    let missing = |what: &str| format!("an object without a {what}:\n{}", lines.join("\n"));
    let kind = lines.iter().find_map(|line| line.strip_prefix("kind: ")).ok_or_else(|| missing("kind"))?;
    let metadata = lines.iter().position(|line| *line == "metadata:").ok_or_else(|| missing("name"))?;
    let inside = lines[metadata + 1..].iter().take_while(|line| line.starts_with(' '));
    let own: Vec<&str> = inside.copied().filter(|line| !line.starts_with("   ")).collect();
    let value = |key: &str| own.iter().find_map(|line| line.strip_prefix("  ")?.strip_prefix(key)?.strip_prefix(": "));
    let (kind, name) = (unquoted(kind)?, unquoted(value("name").ok_or_else(|| missing("name"))?)?);
    if name.contains('/') {
        return Err(format!("{kind} `{name}` has a name that no file can have"));
    }
    let mut text: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    if value("namespace").is_none() {
        let place = lines[metadata..].iter().position(|line| line.starts_with("  name: ")).unwrap_or_default();
        text.insert(metadata + place + 1, format!("  namespace: {}", super::yaml::text(namespace)));
    }
    let text = format!("{}\n", text.join("\n").trim_end());
    Ok(Some(Object { kind, name, text }))
}

/// A word, or a text in double quotes as JSON has it.
fn unquoted(text: &str) -> Result<String, String> {
    let text = text.trim();
    if !text.starts_with('"') {
        return Ok(text.to_owned());
    }
    serde_json::from_str(text).map_err(|_| format!("`{text}` is not a text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "---\n# Source: app/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  \
        name: \"epoch\"\n  labels:\n    name: other\nspec:\n  ports: []\n---\n# Source: app/templates/none.yaml\n---\n\
        # Source: app/templates/a.yaml\n\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels:\n    \
        name: x\n  name: epoch\n  namespace: there\n\n";

    #[test]
    fn every_object_is_a_text_of_its_own_in_a_namespace() {
        let objects = parse(TWO, "shop").unwrap();
        let files: Vec<_> = objects.iter().map(Object::file).collect();
        assert_eq!(files, ["deployment-epoch.yaml", "service-epoch.yaml"]);
        assert_eq!(
            objects[0].text,
            "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels:\n    name: x\n  name: epoch\n  namespace: there\n"
        );
        let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: \"epoch\"\n  namespace: shop\n  labels:\n    \
                       name: other\nspec:\n  ports: []\n";
        assert_eq!(objects[1].text, service);
    }

    #[test]
    fn what_surrounds_the_objects_makes_no_difference() {
        let other = TWO.replace("# Source: app/templates/none.yaml\n---\n", "").replace("\n\n", "\n") + "\n\n---\n";
        assert_eq!(parse(&other, "shop"), parse(TWO, "shop"));
        assert_eq!(parse("\n---\n# Source: x\n", "shop"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let error = |text: &str| parse(text, "shop").unwrap_err();
        assert!(error("kind: Service\nmetadata:\n  labels: {}\n").starts_with("an object without a name"));
        assert!(error("apiVersion: v1\n").starts_with("an object without a kind"));
        assert!(error("kind: Service\nmetadata:\n  name: ../x\n").contains("no file can have"));
        let twice = "kind: Service\nmetadata:\n  name: a\n---\nkind: Service\nmetadata:\n  name: \"a\"\n";
        assert_eq!(error(twice), "Service `a` is there twice");
    }
}
