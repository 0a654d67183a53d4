ÿÿÿ
"serve*2.21.0°
;
xPlaceholder*
dty