//! Text for people.

/// Values of a tensor that are shown to people; programs get all of them.
const SHOWN_VALUES: usize = 12;

/// The first values of a tensor, and how many there are.
pub(crate) fn numbers(values: &[i32]) -> String {
    let mut shown: Vec<String> = values
        .iter()
        .take(SHOWN_VALUES)
        .map(ToString::to_string)
        .collect();
    if values.len() > SHOWN_VALUES {
        shown.push(format!("… {} in all", values.len()));
    }
    format!("[{}]", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_see_the_first_values() {
        assert_eq!(numbers(&[1, -2]), "[1, -2]");
        assert_eq!(
            numbers(&[0; 13]),
            "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, … 13 in all]"
        );
    }
}
