//! A group of settings, declared once: the struct that the code reads, and the rows of the table
//! that parsing, `config show`, the flags and the documentation come from.

/// Declares a group. A field's documentation is the setting's documentation, its name is the TOML
/// key, and what follows the default are [`Setting`](super::Setting)'s const modifiers.
macro_rules! group {
    (
        $(#[doc = $about:literal])+
        $name:ident, $title:literal {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $value:ty as $kind:ty = $default:literal
                    $(, $modifier:ident $($argument:literal)?)*;
            )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[doc = $doc])+ pub $field: $value,)+
        }

        impl $name {
            /// The group's rows, in the order of its fields.
            pub(super) const SETTINGS: &'static [$crate::config::Setting] = &[
                $(
                    $crate::config::Setting::new::<$kind>(
                        stringify!($field), $title, $default, concat!($($doc, "\n"),+),
                    )
                    $(.$modifier($($argument)?))*,
                )+
            ];

            /// Takes the group's values, each from its strongest source.
            pub(super) fn read(reader: &mut $crate::config::read::Reader<'_>) -> Self {
                let mut rows = Self::SETTINGS.iter();
                // The macro writes one row for every field, so the rows cannot run out.
                Self {
                    $($field: reader.take::<$kind>(rows.next().expect("a row for every field")),)+
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($field: <$kind as $crate::config::kind::Kind>::of_default($default),)+
                }
            }
        }
    };
}

pub(super) use group;
