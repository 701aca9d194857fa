"""What Discord accepts and lets through: pure functions on JSON and numbers, which know no state."""
