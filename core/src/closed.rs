//! Closed sets: enums whose members each have a number and a name, which never change.

/// Makes the enum of a closed set. One list gives the members with their numbers and names; all that lists them again, or
/// finds one, follows from it. The text after the type of the number is what a value of the set is called in errors.
macro_rules! closed {
    (
        $(#[$meta:meta])*
        $vis:vis enum $set:ident: $number_type:ident, $what:literal {
            $($(#[$member_meta:meta])* $member:ident = $number:literal $name:literal,)+
        }
    ) => {
        $(#[$meta])*
        #[repr($number_type)]
        $vis enum $set {
            $($(#[$member_meta])* $member = $number,)+
        }

        #[allow(dead_code, reason = "not every set needs all of it")]
        impl $set {
            /// How many there are.
            pub const COUNT: usize = [$($number),+].len();

            /// All of them, in the order of their numbers.
            pub const ALL: [$set; $set::COUNT] = [$($set::$member),+];

            /// Their names, in the same order.
            pub const NAMES: [&'static str; $set::COUNT] = [$($name),+];

            /// The name, the same in all languages.
            pub const fn name(self) -> &'static str {
                match self {
                    $($set::$member => $name,)+
                }
            }

            /// The name, as C has it.
            pub const fn c_name(self) -> &'static std::ffi::CStr {
                let text = match self {
                    $($set::$member => concat!($name, "\0"),)+
                };
                match std::ffi::CStr::from_bytes_with_nul(text.as_bytes()) {
                    Ok(name) => name,
                    Err(_) => unreachable!(),
                }
            }

            /// The one that has this number.
            pub fn from_number(number: $number_type) -> Option<$set> {
                $set::ALL.into_iter().find(|member| *member as $number_type == number)
            }
        }

        impl std::fmt::Display for $set {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        impl std::str::FromStr for $set {
            type Err = crate::closed::UnknownName;

            /// The one that has this name, in capitals or not.
            fn from_str(text: &str) -> Result<$set, crate::closed::UnknownName> {
                let found = $set::ALL.into_iter().find(|member| member.name().eq_ignore_ascii_case(text));
                found.ok_or_else(|| crate::closed::UnknownName {
                    what: $what,
                    text: text.to_owned(),
                    accepted: &$set::NAMES,
                })
            }
        }
    };
}

pub(crate) use closed;

/// That no member of a closed set has the name that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What a member of the set is called.
    pub what: &'static str,
    /// The name that was given.
    pub text: String,
    /// The names that there are.
    pub accepted: &'static [&'static str],
}

impl UnknownName {
    /// What is wrong, as the end of a sentence that begins with [`what`](Self::what).
    pub fn problem(&self) -> String {
        match self.accepted {
            [others @ .., last] if !others.is_empty() => {
                format!("is {:?}; accepted are {} and {last}", self.text, others.join(", "))
            }
            all => format!("is {:?}; accepted is {}", self.text, all.concat()),
        }
    }
}

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.what, self.problem())
    }
}

impl std::error::Error for UnknownName {}

#[cfg(test)]
mod tests {
    closed! {
        /// A set.
        #[derive(Clone, Copy, Debug, PartialEq)]
        enum Fruit: u8, "fruit" {
            /// One.
            Apple = 1 "apple",
            /// Another.
            BloodOrange = 4 "blood_orange",
        }
    }

    #[test]
    fn one_list_gives_all_others() {
        assert_eq!(Fruit::ALL, [Fruit::Apple, Fruit::BloodOrange]);
        assert_eq!(Fruit::ALL.map(Fruit::name), ["apple", "blood_orange"]);
        for fruit in Fruit::ALL {
            assert_eq!(Fruit::from_number(fruit as u8), Some(fruit));
            assert_eq!(fruit.name().to_uppercase().parse(), Ok(fruit));
            assert_eq!(fruit.c_name().to_str().unwrap(), fruit.to_string());
        }
        assert_eq!(Fruit::from_number(2), None);
        let error = "stone".parse::<Fruit>().unwrap_err();
        assert_eq!(error.to_string(), "fruit is \"stone\"; accepted are apple and blood_orange");
    }
}
