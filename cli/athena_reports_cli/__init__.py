"""The command `athena-reports`: what authors and operators type."""
