//! A sheet as Parquet: groups of rows, columns within them.
use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::column::writer::ColumnWriterImpl;
use parquet::data_type::{
    ByteArray, ByteArrayType, DataType, FixedLenByteArray, FixedLenByteArrayType, Int32Type,
    Int64Type,
};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;
use time::Date;

use super::{Cell, Column, Kind, Out, SheetError};

const ROWS_OF_A_GROUP: usize = 20_000;

/// All that 64 bits of nanos can say has 19 digits, one more than a decimal of 64 bits may claim.
const AMOUNT_DIGITS: i32 = 19;
const AMOUNT_BYTES: usize = 9;

/// Of 1970-01-01, in the count of [`Date::to_julian_day`].
const EPOCH: i32 = 2_440_588;

pub(super) struct Columnar<'a> {
    writer: SerializedFileWriter<Out<'a>>,
    columns: &'static [Column],
    waiting: Vec<Vec<Cell>>,
}

impl<'a> Columnar<'a> {
    pub(super) fn begin(
        name: &str,
        columns: &'static [Column],
        out: Out<'a>,
    ) -> Result<Self, SheetError> {
        let fields: Result<Vec<_>, _> = columns.iter().map(field).collect();
        let schema = Type::group_type_builder(name).with_fields(fields.map_err(wrong)?).build();
        let schema = Arc::new(schema.map_err(wrong)?);
        let properties = Arc::new(WriterProperties::builder().build());
        let writer = SerializedFileWriter::new(out, schema, properties).map_err(wrong)?;
        Ok(Self { writer, columns, waiting: vec![] })
    }

    pub(super) fn row(&mut self, cells: Vec<Cell>) -> Result<(), SheetError> {
        self.waiting.push(cells);
        if self.waiting.len() < ROWS_OF_A_GROUP { Ok(()) } else { self.group().map_err(wrong) }
    }

    pub(super) fn finish(mut self) -> Result<(), SheetError> {
        if !self.waiting.is_empty() {
            self.group().map_err(wrong)?;
        }
        self.writer.finish().map_err(wrong)?;
        Ok(self.writer.inner_mut().flush()?)
    }

    fn group(&mut self) -> Result<(), ParquetError> {
        let rows = std::mem::take(&mut self.waiting);
        let mut group = self.writer.next_row_group()?;
        for (at, column) in self.columns.iter().enumerate() {
            let Some(mut writer) = group.next_column()? else { break };
            write(&mut writer, column.kind, &rows, at)?;
            writer.close()?;
        }
        group.close()?;
        Ok(())
    }
}

fn field(column: &Column) -> Result<Arc<Type>, ParquetError> {
    let (physical, logical) = match column.kind {
        Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        Kind::Amount => {
            (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::decimal(9, AMOUNT_DIGITS)))
        }
        Kind::Date => (Physical::INT32, Some(LogicalType::Date)),
        Kind::Timestamp => (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Kind::Integer => (Physical::INT64, None),
    };
    let field = Type::primitive_type_builder(column.name, physical)
        .with_repetition(Repetition::OPTIONAL)
        .with_logical_type(logical);
    let field = if column.kind == Kind::Amount {
        field.with_length(9).with_precision(AMOUNT_DIGITS).with_scale(9)
    } else {
        field
    };
    Ok(Arc::new(field.build()?))
}

fn write(
    writer: &mut SerializedColumnWriter<'_>,
    kind: Kind,
    rows: &[Vec<Cell>],
    at: usize,
) -> Result<(), ParquetError> {
    let cells = rows.iter().filter_map(|row| row.get(at));
    match kind {
        Kind::Text => batch(writer.typed::<ByteArrayType>(), cells, |cell| match cell {
            Cell::Text(text) => Some(ByteArray::from(text.as_str())),
            _ => None,
        }),
        Kind::Amount => batch(writer.typed::<FixedLenByteArrayType>(), cells, |cell| match cell {
            Cell::Amount(nanos) => Some(decimal(*nanos)),
            _ => None,
        }),
        Kind::Date => batch(writer.typed::<Int32Type>(), cells, |cell| match cell {
            Cell::Date(on) => Some(days(*on)),
            _ => None,
        }),
        Kind::Timestamp => batch(writer.typed::<Int64Type>(), cells, |cell| match cell {
            Cell::Timestamp(instant) => Some(instant.as_micros()),
            _ => None,
        }),
        Kind::Integer => batch(writer.typed::<Int64Type>(), cells, |cell| match cell {
            Cell::Integer(number) => Some(*number),
            _ => None,
        }),
    }
}

/// The values that there are, and where there is none.
fn batch<'c, T: DataType>(
    writer: &mut ColumnWriterImpl<'_, T>,
    cells: impl Iterator<Item = &'c Cell>,
    value: impl Fn(&Cell) -> Option<T::T>,
) -> Result<(), ParquetError> {
    let (mut values, mut there) = (vec![], vec![]);
    for cell in cells {
        let value = value(cell);
        there.push(i16::from(value.is_some()));
        values.extend(value);
    }
    writer.write_batch(&values, Some(&there), None)?;
    Ok(())
}

/// Two's complement, the highest byte first.
fn decimal(nanos: i64) -> FixedLenByteArray {
    let bytes = i128::from(nanos).to_be_bytes();
    let from = bytes.len() - AMOUNT_BYTES;
    ByteArray::from(bytes[from..].to_vec()).into()
}

const fn days(on: Date) -> i32 {
    on.to_julian_day() - EPOCH
}

fn wrong(error: ParquetError) -> SheetError {
    match error {
        ParquetError::External(error) => match error.downcast::<std::io::Error>() {
            Ok(error) => SheetError::Output(*error),
            Err(other) => SheetError::Format(other.to_string()),
        },
        other => SheetError::Format(other.to_string()),
    }
}
