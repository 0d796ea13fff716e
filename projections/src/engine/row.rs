//! Rows of a view's tables as Rust values: which table, which columns, and by what they are addressed in memory.
use std::fmt::Debug;
use std::hash::Hash;

use serde::Serialize;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow};
use sqlx::{Arguments, Encode, Postgres};

/// A row of one table. [`row!`](crate::row!) writes the struct and this.
pub trait Row: Serialize + Clone + Send + Sync + 'static {
    /// By what a fold addresses it: the primary key, or the group whose last row it is.
    type Key: Key;
    /// Its table, without a schema.
    const TABLE: &'static str;
    /// All columns, in the order of [`Row::encode`] and [`Row::decode`].
    const COLUMNS: &'static [&'static str];
    /// The columns of the key.
    const KEY: &'static [&'static str];
    /// Whether rows are only ever added. The key is then a group of rows, and a fold sees the group's last one, by `position`.
    const APPENDS: bool;

    /// Where it belongs.
    fn key(&self) -> Self::Key;

    /// Reads it from its columns.
    ///
    /// # Errors
    /// When the table has other columns.
    fn decode(row: &PgRow) -> sqlx::Result<Self>;

    /// Writes its columns for a binary COPY.
    ///
    /// # Errors
    /// When a value has no form in the database.
    fn encode(&self, copy: &mut CopyRows) -> Result<(), BoxDynError>;
}

/// One or two columns that address a row.
pub trait Key: Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// Binds keys as one array per column.
    ///
    /// # Errors
    /// When a value has no form in the database.
    fn bind(keys: &[Self], arguments: &mut PgArguments) -> Result<(), BoxDynError>;
}

/// One column of a key.
pub trait Part: Clone + Eq + Hash + Debug + Send + Sync + 'static {
    /// Binds them as an array.
    ///
    /// # Errors
    /// When a value has no form in the database.
    fn bind(parts: Vec<Self>, arguments: &mut PgArguments) -> Result<(), BoxDynError>;
}

impl Part for String {
    fn bind(parts: Vec<Self>, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        arguments.add(parts)
    }
}

impl Part for i64 {
    fn bind(parts: Vec<Self>, arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        arguments.add(parts)
    }
}

impl<A: Part> Key for (A,) {
    fn bind(keys: &[Self], arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        A::bind(keys.iter().map(|(a,)| a.clone()).collect(), arguments)
    }
}

impl<A: Part, B: Part> Key for (A, B) {
    fn bind(keys: &[Self], arguments: &mut PgArguments) -> Result<(), BoxDynError> {
        A::bind(keys.iter().map(|(a, _)| a.clone()).collect(), arguments)?;
        B::bind(keys.iter().map(|(_, b)| b.clone()).collect(), arguments)
    }
}

/// Rows in the binary format of COPY.
#[derive(Default)]
pub struct CopyRows(PgArgumentBuffer);

/// Signature, flags and length of the extension, as the format begins.
const HEAD: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

impl CopyRows {
    /// These rows, ready to be sent.
    pub(crate) fn of<R: Row>(rows: &[&R]) -> Result<Vec<u8>, BoxDynError> {
        let mut copy = Self::default();
        copy.0.extend_from_slice(HEAD);
        let columns = i16::try_from(R::COLUMNS.len())?;
        for row in rows {
            copy.0.extend_from_slice(&columns.to_be_bytes());
            row.encode(&mut copy)?;
        }
        copy.0.extend_from_slice(&(-1_i16).to_be_bytes());
        Ok(std::mem::take(&mut *copy.0))
    }

    /// One column of the row under way.
    ///
    /// # Errors
    /// When the value has no form in the database.
    pub fn put<'q, T: Encode<'q, Postgres>>(&mut self, value: &T) -> Result<(), BoxDynError> {
        let at = self.0.len();
        self.0.extend_from_slice(&[0; 4]);
        let length = match value.encode_by_ref(&mut self.0)? {
            IsNull::Yes => -1,
            IsNull::No => i32::try_from(self.0.len() - at - 4)?,
        };
        self.0[at..at + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }
}

/// A struct and its [`Row`]: `row! { pub struct Name in "table" by (key: Type) { column: Type, … } }`.
///
/// `by` names the primary key. `last_of` names a group of rows that are only ever added and have a `position`.
#[macro_export]
macro_rules! row {
    (@appends by) => { false };
    (@appends last_of) => { true };
    ($(#[$meta:meta])*
     $vis:vis struct $name:ident in $table:literal $kind:ident ($($key:ident: $key_type:ty),+) {
        $($(#[$column_meta:meta])* $column:ident: $type:ty,)+
    }) => {
        $(#[$meta])*
        #[derive(Debug, PartialEq, Default, serde::Serialize)]
        $vis struct $name {
            $($(#[$column_meta])* pub $column: $type,)+
        }

        // Derived, it would take new memory for each text where the old has room.
        impl Clone for $name {
            fn clone(&self) -> Self {
                Self { $($column: self.$column.clone(),)+ }
            }

            fn clone_from(&mut self, from: &Self) {
                $(self.$column.clone_from(&from.$column);)+
            }
        }

        impl $crate::engine::Row for $name {
            type Key = ($($key_type,)+);
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] = &[$(stringify!($column)),+];
            const KEY: &'static [&'static str] = &[$(stringify!($key)),+];
            const APPENDS: bool = $crate::row!(@appends $kind);

            fn key(&self) -> Self::Key {
                ($(self.$key.clone(),)+)
            }

            fn decode(row: &sqlx::postgres::PgRow) -> sqlx::Result<Self> {
                let mut index = 0_usize..;
                let mut next = || index.next().unwrap_or_default();
                Ok(Self { $($column: sqlx::Row::try_get(row, next())?,)+ })
            }

            fn encode(
                &self,
                copy: &mut $crate::engine::CopyRows,
            ) -> Result<(), sqlx::error::BoxDynError> {
                $(copy.put(&self.$column)?;)+
                Ok(())
            }
        }
    };
}
