"""Results as pages of HTML with plots drawn here: no script, nothing fetched. Whoever has figures to show uses it."""
