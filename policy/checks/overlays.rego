# METADATA
# title: What overlays are asked
# description: They hear the questions of `access/decide`. Never compiled; with it, a member of the input that there is not is an error in any team's package.
# scope: subpackages
# schemas:
#   - input: schema.decide
#   - data.limits: schema.limits
package overlays
