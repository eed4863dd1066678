"""The demo site: a gift shop and a bilingual school that use llmrec_plugin as any host site would."""
