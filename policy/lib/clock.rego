# METADATA
# title: Clock
# description: |
#   Times as text. OPA's WebAssembly runtime has no built-in for it, so this is integer arithmetic on the proleptic Gregorian calendar
#   (Hinnant, "chrono-Compatible Low-Level Date Algorithms", civil_from_days), for the years 1970 to 9999.
package lib.clock

day_ms := 86400000

# METADATA
# title: RFC 3339, UTC, with milliseconds
# description: Of epoch milliseconds, such as 1970-01-01T00:00:00.000Z for 0. Undefined for what is no such time.
rfc3339(ms) := concat("", [date(quotient(ms, day_ms)), "T", time_of_day(ms % day_ms), "Z"]) if {
	is_number(ms)
	floor(ms) == ms
	ms >= 0
	ms < 253402300800000
}

quotient(n, d) := floor((n - (n % d)) / d)

padded(n, width) := substring(concat("", ["000", digits]), (3 + count(digits)) - width, -1) if digits := format_int(n, 10)

time_of_day(ms) := concat("", [
	padded(quotient(ms, 3600000), 2),
	":",
	padded(quotient(ms, 60000) % 60, 2),
	":",
	padded(quotient(ms, 1000) % 60, 2),
	".",
	padded(ms % 1000, 3),
])

# Years begin in March here, so that the leap day is the last of its year; an era is 400 years of 146097 days.
date(days) := concat("-", [padded(year, 4), padded(month, 2), padded(day, 2)]) if {
	shifted := days + 719468
	era_day := shifted % 146097
	era_year := quotient(((era_day - quotient(era_day, 1460)) + quotient(era_day, 36524)) - quotient(era_day, 146096), 365)
	year_day := era_day - (((365 * era_year) + quotient(era_year, 4)) - quotient(era_year, 100))
	march_month := quotient((5 * year_day) + 2, 153)
	day := (year_day - quotient((153 * march_month) + 2, 5)) + 1
	month := ((march_month + 2) % 12) + 1
	year := (era_year + (quotient(shifted, 146097) * 400)) + turned(month)
}

turned(month) := 1 if {
	month <= 2
} else := 0
