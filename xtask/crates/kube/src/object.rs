//! Reading objects of the API.

use serde_json::Value;

/// Its name; empty for what has none.
pub fn name(object: &Value) -> &str {
    object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}

/// Its namespace; empty for what is in none.
pub fn namespace(object: &Value) -> &str {
    object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default()
}

/// The value of a label; empty where it is not set.
pub fn label<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"]["labels"][key].as_str().unwrap_or_default()
}

/// The value of an annotation; empty where it is not set.
pub fn annotation<'o>(object: &'o Value, key: &str) -> &'o str {
    object["metadata"]["annotations"][key].as_str().unwrap_or_default()
}

/// A number somewhere in it; 0 where there is none, as the API leaves zeroes out.
pub fn number(object: &Value, pointer: &str) -> u64 {
    object.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

/// A text somewhere in it; empty where there is none.
pub fn text<'o>(object: &'o Value, pointer: &str) -> &'o str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A list somewhere in it; empty where there is none.
pub fn list<'o>(object: &'o Value, pointer: &str) -> &'o [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Whether it is on its way out.
pub fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some()
}
