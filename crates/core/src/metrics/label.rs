//! Labels: closed sets of words, so that the number of series is known when the program is built.

/// A label whose values are a closed set.
pub trait Label: Copy + PartialEq + 'static {
    /// The label's name.
    const NAME: &'static str;
    /// Every value.
    const ALL: &'static [Self];

    /// The value as it is written.
    fn value(self) -> &'static str;

    /// The value's place in `ALL`.
    fn ordinal(self) -> usize;
}

/// Several labels together: what tells the series of one metric apart.
pub trait LabelSet: Copy + 'static {
    /// The labels' names.
    const NAMES: &'static [&'static str];
    /// How many series there are.
    const SERIES: usize;

    /// The series' number, below `SERIES`.
    fn index(self) -> usize;

    /// The series of a number.
    fn at(index: usize) -> Self;

    /// The labels' values, in the order of their names.
    fn values(self) -> Vec<&'static str>;

    /// The values that the label at a place among the names can have.
    fn all_values(place: usize) -> Vec<&'static str> {
        let mut all = Vec::new();
        for value in (0..Self::SERIES).map(|index| Self::at(index).values()[place]) {
            if !all.contains(&value) {
                all.push(value);
            }
        }
        all
    }
}

impl LabelSet for () {
    const NAMES: &'static [&'static str] = &[];
    const SERIES: usize = 1;

    fn index(self) -> usize {
        0
    }
    fn at(_: usize) -> Self {}
    fn values(self) -> Vec<&'static str> {
        Vec::new()
    }
}

impl<A: Label> LabelSet for A {
    const NAMES: &'static [&'static str] = &[A::NAME];
    const SERIES: usize = A::ALL.len();

    fn index(self) -> usize {
        self.ordinal()
    }
    fn at(index: usize) -> Self {
        A::ALL[index]
    }
    fn values(self) -> Vec<&'static str> {
        vec![self.value()]
    }
}

impl<A: Label, B: Label> LabelSet for (A, B) {
    const NAMES: &'static [&'static str] = &[A::NAME, B::NAME];
    const SERIES: usize = A::ALL.len() * B::ALL.len();

    fn index(self) -> usize {
        self.0.ordinal() * B::ALL.len() + self.1.ordinal()
    }
    fn at(index: usize) -> Self {
        (A::ALL[index / B::ALL.len()], B::ALL[index % B::ALL.len()])
    }
    fn values(self) -> Vec<&'static str> {
        vec![self.0.value(), self.1.value()]
    }
}

impl<A: Label, B: Label, C: Label> LabelSet for (A, B, C) {
    const NAMES: &'static [&'static str] = &[A::NAME, B::NAME, C::NAME];
    const SERIES: usize = <(A, B)>::SERIES * C::ALL.len();

    fn index(self) -> usize {
        (self.0, self.1).index() * C::ALL.len() + self.2.ordinal()
    }
    fn at(index: usize) -> Self {
        let (a, b) = <(A, B)>::at(index / C::ALL.len());
        (a, b, C::ALL[index % C::ALL.len()])
    }
    fn values(self) -> Vec<&'static str> {
        vec![self.0.value(), self.1.value(), self.2.value()]
    }
}

/// Declares a label: a closed enum, the label's name, and the words.
macro_rules! label {
    (
        $(#[doc = $about:literal])+
        $name:ident = $label:literal { $($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[doc = $doc])+ $variant,)+ }

        impl $crate::metrics::label::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &[$(Self::$variant,)+];

            fn value(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
            fn ordinal(self) -> usize {
                self as usize
            }
        }
    };
}

/// Makes a label of an enum that lists its own values in the order of their declaration.
macro_rules! label_of {
    ($name:ty = $label:literal) => {
        impl $crate::metrics::label::Label for $name {
            const NAME: &'static str = $label;
            const ALL: &'static [Self] = &<$name>::ALL;

            fn value(self) -> &'static str {
                self.as_str()
            }
            fn ordinal(self) -> usize {
                self as usize
            }
        }
    };
}

pub(super) use {label, label_of};
