//! As much of JSON schema as the document uses.

use serde_json::Value;

/// Where and how a value differs from a schema of the document.
pub(super) fn faults(value: &Value, schema: &Value, document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(value, schema, document, "", &mut faults);
    faults
}

fn check(value: &Value, schema: &Value, document: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document.pointer(&reference[1..]).expect("references lead somewhere");
        return check(value, schema, document, at, faults);
    }
    if value.is_null() && schema["nullable"] == true {
        return;
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        check(value, part, document, at, faults);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fits = |choice: &&Value| self::faults(value, choice, document).is_empty();
        if choices.iter().filter(fits).count() != 1 {
            faults.push(format!("{at}: not exactly one of the choices"));
        }
    }
    if let Some(known) = schema["enum"].as_array()
        && !known.contains(value)
    {
        faults.push(format!("{at}: {value} is not in the list"));
    }
    match (schema["type"].as_str(), value) {
        (None, _) | (Some("string"), Value::String(_)) | (Some("boolean"), Value::Bool(_)) => {}
        (Some("number"), Value::Number(_)) => {}
        (Some("integer"), Value::Number(number)) if !number.is_f64() => {}
        (Some("array"), Value::Array(items)) => {
            let each = items.iter().enumerate();
            each.for_each(|(n, item)| check(item, &schema["items"], document, &format!("{at}/{n}"), faults));
        }
        (Some("object"), Value::Object(members)) => {
            let required = schema["required"].as_array().into_iter().flatten();
            let missing = required.filter_map(Value::as_str).filter(|name| !members.contains_key(*name));
            faults.extend(missing.map(|name| format!("{at}/{name}: missing")));
            for (name, member) in members {
                let at = format!("{at}/{name}");
                match (schema["properties"].get(name), schema.get("additionalProperties")) {
                    (Some(schema), _) => check(member, schema, document, &at, faults),
                    (None, Some(schema)) if schema.is_object() => {
                        check(member, schema, document, &at, faults)
                    }
                    // Stricter than the schema, so that no member goes undocumented.
                    (None, _) if schema["oneOf"].is_null() && schema["allOf"].is_null() => {
                        faults.push(format!("{at}: not described"))
                    }
                    (None, _) => {}
                }
            }
        }
        (Some(wanted), _) => faults.push(format!("{at}: {value} is no {wanted}")),
    }
}
