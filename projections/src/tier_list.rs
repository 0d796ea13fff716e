//! Tiers in a row: `bigint[]` in the table, for each tier after the first where it begins and what an hour costs in it.
use cairn_core::{Tier, Tiers};
use serde::{Serialize, Serializer};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::{Decode, Encode, Postgres, Type};

/// The tiers after the first; none where all time costs the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TierList(pub Tiers);

impl TierList {
    fn numbers(&self) -> impl Iterator<Item = i64> {
        self.0.later().iter().flat_map(|tier| [tier.from_seconds, tier.nanos_per_hour])
    }
}

/// As rows are written: `[from_seconds, nanos_per_hour, …]`.
impl Serialize for TierList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.numbers())
    }
}

impl Type<Postgres> for TierList {
    fn type_info() -> PgTypeInfo {
        <Vec<i64> as Type<Postgres>>::type_info()
    }
}

impl Decode<'_, Postgres> for TierList {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let numbers = <Vec<i64> as Decode<Postgres>>::decode(value)?;
        let pairs = numbers.chunks(2).map(|pair| match pair {
            [from_seconds, nanos_per_hour] => {
                Ok(Tier { from_seconds: *from_seconds, nanos_per_hour: *nanos_per_hour })
            }
            _ => Err("a tier is two numbers"),
        });
        Ok(Self(Tiers::try_new(&pairs.collect::<Result<Vec<_>, _>>()?)?))
    }
}

impl Encode<'_, Postgres> for TierList {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <Vec<i64> as Encode<Postgres>>::encode(self.numbers().collect(), buffer)
    }
}
