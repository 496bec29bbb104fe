//! Values of a page's scripts, in the form in which Playwright carries them.

use serde_json::{Map, Value, json};

/// The value that `serialized` stands for. What JSON has no form for (`NaN`, dates, errors) comes
/// as text; `undefined` as null.
pub(super) fn parse(serialized: &Value) -> Value {
    let Some(fields) = serialized.as_object() else {
        return Value::Null;
    };
    for plain in ["n", "s", "b", "d", "u", "bi"] {
        if let Some(value) = fields.get(plain) {
            return value.clone();
        }
    }
    if let Some(items) = fields.get("a").and_then(Value::as_array) {
        return items.iter().map(parse).collect();
    }
    if let Some(entries) = fields.get("o").and_then(Value::as_array) {
        return Value::Object(entries.iter().filter_map(entry).collect::<Map<_, _>>());
    }
    if let Some(error) = fields.get("e") {
        return error["m"].clone();
    }
    match fields.get("v").and_then(Value::as_str) {
        None | Some("undefined" | "null") => Value::Null,
        Some("-0") => json!(-0.0),
        Some(other) => Value::String(other.to_owned()),
    }
}

fn entry(entry: &Value) -> Option<(String, Value)> {
    Some((entry["k"].as_str()?.to_owned(), parse(&entry["v"])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_value_is_understood() {
        for (wire, value) in [
            (json!({"n": 42}), json!(42)),
            (json!({"s": "x"}), json!("x")),
            (json!({"b": false}), json!(false)),
            (json!({"v": "undefined"}), json!(null)),
            (json!({"v": "null"}), json!(null)),
            (json!({"v": "NaN"}), json!("NaN")),
            (json!({"a": [{"n": 1}, {"s": "y"}], "id": 1}), json!([1, "y"])),
            (json!({"o": [{"k": "p", "v": {"a": [], "id": 2}}], "id": 1}), json!({"p": []})),
            (json!({"e": {"m": "boom", "n": "Error", "s": ""}}), json!("boom")),
        ] {
            assert_eq!(parse(&wire), value, "{wire}");
        }
    }
}
