"""Published segmentation models with mask queries (Mask2Former, MaskFormer, EoMT), run by transformers' own modules."""
